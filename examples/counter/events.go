package counter

import "slices"

// Incremented says that the counter went up by By.
type Incremented struct {
	By int64 `json:"by"`
}

func (e Incremented) Evolve(c Counter) Counter {
	c.Value += e.By
	return c
}

// Decremented says that the counter went down by By.
type Decremented struct {
	By int64 `json:"by"`
}

func (e Decremented) Evolve(c Counter) Counter {
	c.Value -= e.By
	return c
}

// Named says that the counter got a name. Its earlier name is free again.
type Named struct {
	Name string `json:"name"`
}

func (e Named) Evolve(c Counter) Counter {
	c.Name = e.Name
	return c
}

// TagAdded says that the counter has one tag more.
type TagAdded struct {
	Tag string `json:"tag"`
}

// Evolve works on a copy of the tags, because the state that it was given keeps its own tags.
func (e TagAdded) Evolve(c Counter) Counter {
	if at, found := c.find(e.Tag); !found {
		c.Tags = slices.Insert(slices.Clone(c.Tags), at, e.Tag)
	}
	return c
}

// TagRemoved says that the counter has one tag less.
type TagRemoved struct {
	Tag string `json:"tag"`
}

func (e TagRemoved) Evolve(c Counter) Counter {
	if at, found := c.find(e.Tag); found {
		c.Tags = slices.Delete(slices.Clone(c.Tags), at, at+1)
	}
	return c
}
