package main

import (
	"bytes"
	"image/color"
	"math"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The style of all plots: one size, few colours that the colour-blind can tell apart, a pale grid.
const (
	plotWidth  = 480 * vg.Length(1)
	plotHeight = 240 * vg.Length(1)
	textSize   = font.Length(10)
	margin     = 6 * vg.Length(1)
)

var (
	palette = []color.Color{
		color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
		color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
	}
	pale = color.RGBA{R: 0xe4, G: 0xe4, B: 0xe4, A: 0xff}
)

// draw writes the plot as an SVG.
func (p plotted) draw(file string) error {
	drawing := plot.New()
	drawing.Title.Text = p.title
	drawing.Title.TextStyle.Font = sans(textSize + 1)
	drawing.Title.Padding = 6
	p.x.apply(&drawing.X)
	p.y.apply(&drawing.Y)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = pale, pale
	drawing.Add(grid)
	for i, l := range p.lines {
		points := make(plotter.XYs, len(l.points))
		for j, at := range l.points {
			points[j].X, points[j].Y = at.x, at.y
			drawing.Y.Max = max(drawing.Y.Max, at.y*headroom)
		}
		curve, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		curve.Width, curve.Color = vg.Points(1.5), palette[i%len(palette)]
		dots.Shape, dots.Radius, dots.Color = draw.CircleGlyph{}, vg.Points(2.2), curve.Color
		drawing.Add(curve, dots)
		if l.name != "" {
			drawing.Legend.Add(l.name, curve, dots)
		}
	}
	drawing.Legend.Top, drawing.Legend.Left = true, p.y.log
	drawing.Legend.TextStyle.Font = sans(textSize)
	canvas := vgsvg.New(plotWidth, plotHeight)
	drawing.Draw(draw.Crop(draw.New(canvas), margin, -2*margin, margin, -margin))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	return os.WriteFile(file, bytes.ReplaceAll(svg.Bytes(), []byte("Liberation Sans"), []byte(fonts)), 0o644)
}

// fonts are the fonts that browsers try one after the other. This program knows the widths of the
// first font. The others have the same widths.
const fonts = "Liberation Sans,Arial,Helvetica,sans-serif"

// headroom keeps lines away from the top.
const headroom = 1.1

func sans(size font.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// apply gives an axis its scale, its words and its numbers.
func (a axis) apply(to *plot.Axis) {
	to.Label.Text = a.label
	to.Label.TextStyle.Font, to.Tick.Label.Font = sans(textSize), sans(textSize-1)
	to.Label.Padding = 4
	to.Tick.Marker = plot.TickerFunc(readable)
	if !a.log {
		to.Min = 0
	}
	if a.log {
		to.Scale = plot.LogScale{}
		to.Tick.Marker = plot.TickerFunc(decades)
	}
	if len(a.ticks) > 0 {
		var ticks plot.ConstantTicks
		for _, value := range a.ticks {
			ticks = append(ticks, plot.Tick{Value: value, Label: short(value)})
		}
		to.Tick.Marker = ticks
	}
}

// readable returns about five ticks, at multiples of 1, 2 or 5 times a power of ten.
func readable(from, to float64) (ticks []plot.Tick) {
	power := math.Pow(10, math.Floor(math.Log10((to-from)/5)))
	step := power
	for _, times := range []float64{2, 5, 10} {
		if (to-from)/step > 6 {
			step = times * power
		}
	}
	for n := math.Ceil(from / step); n*step <= to; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: short(n * step)})
	}
	return ticks
}

// decades returns ticks at 1, 10, 100 and so on, with unnamed ticks between.
func decades(from, to float64) (ticks []plot.Tick) {
	for decade := math.Pow(10, math.Floor(math.Log10(from))); decade <= to*10; decade *= 10 {
		ticks = append(ticks, plot.Tick{Value: decade, Label: short(decade)})
		for n := 2.0; n < 10; n++ {
			ticks = append(ticks, plot.Tick{Value: n * decade})
		}
	}
	return ticks
}

// short writes a number with few characters: 20k, 1M, 0.5.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
