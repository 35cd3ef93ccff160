// Package plot draws what a benchmark measured as line charts, in SVG.
package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Point is one measurement.
type Point struct{ X, Y float64 }

// Chart is lines over two axes that start at 0.
type Chart struct {
	Title, X, Y string // what is shown, and what the axes are, with units
	Lines       []Line
	Goals       []Goal
}

// Line is one curve.
type Line struct {
	Name   string
	Points []Point
}

// Goal is a value that a curve should stay below.
type Goal struct {
	Name  string
	Value float64
	OnX   bool // of the horizontal axis; otherwise of the vertical one
}

// Size of a chart in pixels, and of the room around the axes.
const (
	width, height            = 720, 420
	left, right, top, bottom = 70, 24, 44, 88
)

// colors of the lines, which also those tell apart who see no red or green.
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// scale maps values of an axis, from 0 to a round maximum, to pixels.
type scale struct {
	step, limit float64
	from, to    float64 // pixels of 0 and limit
}

// newScale covers 0 to most with about five steps of a round size.
func newScale(most, from, to float64) scale {
	if most <= 0 {
		most = 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	step := power
	for _, factor := range []float64{2, 5, 10} {
		if most/step > 5 {
			step = factor * power
		}
	}
	return scale{step: step, limit: math.Ceil(most/step) * step, from: from, to: to}
}

func (s scale) pixel(v float64) float64 { return s.from + (s.to-s.from)*v/s.limit }

// ticks are the values to label.
func (s scale) ticks() []float64 {
	var all []float64
	for i := 0; float64(i)*s.step <= s.limit*(1+1e-9); i++ {
		all = append(all, float64(i)*s.step)
	}
	return all
}

// WriteSVG draws the chart.
func (c Chart) WriteSVG(w io.Writer) error {
	var most Point
	for _, line := range c.Lines {
		for _, p := range line.Points {
			most.X, most.Y = max(most.X, p.X), max(most.Y, p.Y)
		}
	}
	for _, g := range c.Goals {
		if g.OnX {
			most.X = max(most.X, g.Value)
		} else {
			most.Y = max(most.Y, g.Value)
		}
	}
	d := &drawing{w: w}
	x, y := newScale(most.X, left, width-right), newScale(most.Y, height-bottom, top)
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	d.printf(`<rect width="100%%" height="100%%" fill="white"/>` + "\n")
	d.text(width/2, 24, `text-anchor="middle" font-size="15"`, c.Title)
	d.axes(x, y, c)
	for i, line := range c.Lines {
		d.line(x, y, line, colors[i%len(colors)])
		at := float64(left + i*(width-left-right)/len(c.Lines))
		d.printf(`<rect x="%.0f" y="%d" width="14" height="4" fill="%s"/>`+"\n", at, height-20, colors[i%len(colors)])
		d.text(at+20, height-14, "", line.Name)
	}
	for _, g := range c.Goals {
		d.goal(x, y, g)
	}
	d.printf("</svg>\n")
	return d.err
}

// drawing writes SVG and keeps the first error.
type drawing struct {
	w   io.Writer
	err error
}

func (d *drawing) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

// text writes content, whatever it holds, at a place.
func (d *drawing) text(x, y float64, attributes, content string) {
	d.printf(`<text x="%.1f" y="%.1f" %s>`, x, y, attributes)
	if d.err == nil {
		d.err = xml.EscapeText(d.w, []byte(content))
	}
	d.printf("</text>\n")
}

func (d *drawing) stroke(x1, y1, x2, y2 float64, attributes string) {
	d.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, attributes)
}

func (d *drawing) axes(x, y scale, c Chart) {
	const grid, axis = `stroke="#dddddd"`, `stroke="black"`
	for _, v := range x.ticks() {
		d.stroke(x.pixel(v), y.from, x.pixel(v), y.to, grid)
		d.text(x.pixel(v), y.from+18, `text-anchor="middle"`, number(v))
	}
	for _, v := range y.ticks() {
		d.stroke(x.from, y.pixel(v), x.to, y.pixel(v), grid)
		d.text(x.from-8, y.pixel(v)+4, `text-anchor="end"`, number(v))
	}
	d.stroke(x.from, y.from, x.to, y.from, axis)
	d.stroke(x.from, y.from, x.from, y.to, axis)
	d.text((x.from+x.to)/2, y.from+38, `text-anchor="middle"`, c.X)
	middle := (y.from + y.to) / 2
	d.text(18, middle, fmt.Sprintf(`text-anchor="middle" transform="rotate(-90 18 %.1f)"`, middle), c.Y)
}

func (d *drawing) line(x, y scale, line Line, color string) {
	d.printf(`<polyline fill="none" stroke-width="2" stroke="%s" points="`, color)
	for i, p := range line.Points {
		if i > 0 {
			d.printf(" ")
		}
		d.printf("%.1f,%.1f", x.pixel(p.X), y.pixel(p.Y))
	}
	d.printf("\"/>\n")
}

func (d *drawing) goal(x, y scale, g Goal) {
	const dashed = `stroke="#555555" stroke-dasharray="6 4"`
	if g.OnX {
		d.stroke(x.pixel(g.Value), y.from, x.pixel(g.Value), y.to, dashed)
		d.text(x.pixel(g.Value)+5, y.to+12, `fill="#555555"`, g.Name)
		return
	}
	d.stroke(x.from, y.pixel(g.Value), x.to, y.pixel(g.Value), dashed)
	d.text(x.from+6, y.pixel(g.Value)-5, `fill="#555555"`, g.Name)
}

// number is a label without the noise of binary fractions.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
