package counter

import "github.com/maestro-es/maestro/aggregate"

// Root is the aggregate as a command sees it.
type Root = aggregate.Root[Counter]

// Events are the events that a command leads to.
type Events = []aggregate.Event[Counter]

// Increment counts up by By, by 1 if it is absent.
type Increment struct {
	By *int64 `json:"by"`
}

func (c Increment) Decide(Root) (Events, error) {
	by, err := amount(c.By)
	if err != nil {
		return nil, err
	}
	return Events{Incremented{By: by}}, nil
}

// Decrement counts down by By, by 1 if it is absent.
type Decrement struct {
	By *int64 `json:"by"`
}

func (c Decrement) Decide(Root) (Events, error) {
	by, err := amount(c.By)
	if err != nil {
		return nil, err
	}
	return Events{Decremented{By: by}}, nil
}

func amount(by *int64) (int64, error) {
	switch {
	case by == nil:
		return 1, nil
	case *by < 1:
		return 0, aggregate.Reject("invalid_amount", "by must be positive, got %d", *by)
	default:
		return *by, nil
	}
}

// IncrementIfBelow counts up by 1, but not above Limit.
type IncrementIfBelow struct {
	Limit int64 `json:"limit"`
}

// Limited are the details of the rejection counter_at_limit.
type Limited struct {
	Value int64 `json:"value"`
	Limit int64 `json:"limit"`
}

func (c IncrementIfBelow) Decide(r Root) (Events, error) {
	if r.State.Value >= c.Limit {
		return nil, aggregate.RejectWith(Limited{Value: r.State.Value, Limit: c.Limit}, "counter_at_limit",
			"the counter is at %d, the limit is %d", r.State.Value, c.Limit)
	}
	return Events{Incremented{By: 1}}, nil
}

// Name gives the counter a name. [Names] makes sure that no other counter has the name.
type Name struct {
	Name string `json:"name"`
}

func (c Name) Decide(r Root) (Events, error) {
	switch c.Name {
	case "":
		return nil, aggregate.Reject("invalid_name", "name must not be empty")
	case r.State.Name:
		return nil, nil
	}
	return Events{Named(c)}, nil
}

// AddTag adds a tag. Adding a tag that is there already changes nothing.
type AddTag struct {
	Tag string `json:"tag"`
}

func (c AddTag) Decide(r Root) (Events, error) {
	if c.Tag == "" {
		return nil, aggregate.Reject("invalid_tag", "tag must not be empty")
	}
	if _, found := r.State.find(c.Tag); found {
		return nil, nil
	}
	return Events{TagAdded(c)}, nil
}

// RemoveTag removes a tag. Removing a tag that is not there changes nothing.
type RemoveTag struct {
	Tag string `json:"tag"`
}

func (c RemoveTag) Decide(r Root) (Events, error) {
	if _, found := r.State.find(c.Tag); !found {
		return nil, nil
	}
	return Events{TagRemoved(c)}, nil
}
