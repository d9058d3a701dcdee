// Package generate makes up commands for trials, demonstrations and benchmarks. Its output depends
// only on a seed.
package generate

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/maestro-es/maestro/client"
)

// Declarations returns n commands for travel expense declarations, in the order of their times.
// Many declarations are under way at once. The proportions are those of a real process (BPI
// Challenge 2020, Domestic Declarations). One command in 200 breaks the rules and is to be
// rejected. The same seed gives the same commands. Another seed gives other declarations.
func Declarations(seed uint64, n int) iter.Seq[client.Command] {
	return func(yield func(client.Command) bool) {
		o := &office{seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
		o.open(time.Date(2026, time.January, 5, 9, 0, 0, 0, time.FixedZone("", 3600)))
		for range n {
			if !yield(o.next()) {
				return
			}
		}
	}
}

const (
	// newEvery is the mean time between two new declarations.
	newEvery = 90 * time.Minute
	// breaking is the share of commands that break the rules.
	breaking = 0.005
)

// office holds the declarations.
type office struct {
	seed   uint64
	random *rand.Rand
	opened int
	// underWay are the declarations with a step to come, in the order of that step's time.
	underWay []*declaration
}

type declaration struct {
	id    string
	stage stage
	cents int64
	// steps counts the commands so far. coming is the next command, and at is its time.
	steps  int
	coming step
	at     time.Time
}

// open begins a declaration.
func (o *office) open(at time.Time) {
	o.opened++
	d := &declaration{id: fmt.Sprintf("%d-%d", o.seed, o.opened), stage: fresh, at: at}
	o.plan(d)
}

// plan decides what happens to a declaration next, and when.
func (o *office) plan(d *declaration) {
	steps := process[d.stage]
	if len(steps) == 0 {
		return
	}
	chance := o.random.Float64()
	for _, d.coming = range steps {
		if chance -= d.coming.share; chance < 0 {
			break
		}
	}
	d.at = d.at.Add(o.around(d.coming.after))
	o.queue(d)
}

func (o *office) queue(d *declaration) {
	place, _ := slices.BinarySearchFunc(o.underWay, d, func(a, b *declaration) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	o.underWay = slices.Insert(o.underWay, place, d)
}

// around returns a random time with the given mean, in whole milliseconds.
func (o *office) around(mean time.Duration) time.Duration {
	return time.Duration(o.random.ExpFloat64() * float64(mean)).Truncate(time.Millisecond)
}

// next takes the next step and returns its command.
func (o *office) next() client.Command {
	d := o.underWay[0]
	o.underWay = slices.Delete(o.underWay, 0, 1)
	taken := d.coming
	if mistake, possible := mistakes[d.stage]; possible && o.random.Float64() < breaking {
		at := d.at
		d.at = at.Add(o.around(10 * time.Minute))
		o.queue(d)
		return d.command(step{command: mistake, role: taken.role}, at)
	}
	if d.stage == fresh {
		o.open(d.at.Add(o.around(newEvery)))
	}
	if taken.command == "save" || taken.command == "submit" {
		d.cents = o.amount()
	}
	at := d.at
	d.stage = taken.to
	o.plan(d)
	return d.command(taken, at)
}

// amount returns around 43 euros, and now and then far more.
func (o *office) amount() int64 {
	return int64(math.Exp(math.Log(4300)+1.15*o.random.NormFloat64())) + 1
}

// data is the body of a command.
type data struct {
	At          string `json:"at"`
	Role        string `json:"role,omitempty"`
	AmountCents int64  `json:"amount_cents,omitempty"`
}

func (d *declaration) command(s step, at time.Time) client.Command {
	d.steps++
	carried := data{At: at.Format("2006-01-02T15:04:05.000Z07:00"), Role: s.role}
	if s.command == "save" || s.command == "submit" {
		carried.AmountCents = d.cents
	}
	return client.Command{ID: fmt.Sprintf("%s-%d", d.id, d.steps), Aggregate: "declaration", AggregateID: d.id,
		Name: s.command, Data: carried}
}
