package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/test/bench/plot"
)

// drawn is what a reader of SVG sees: texts, and the curves' points.
type drawn struct{ texts, curves []string }

func read(t *testing.T, c plot.Chart) drawn {
	t.Helper()
	var out strings.Builder
	if err := c.WriteSVG(&out); err != nil {
		t.Fatal(err)
	}
	var d drawn
	decoder := xml.NewDecoder(strings.NewReader(out.String()))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return d
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, &out)
		}
		switch token := token.(type) {
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				d.texts = append(d.texts, text)
			}
		case xml.StartElement:
			for _, a := range token.Attr {
				if token.Name.Local == "polyline" && a.Name.Local == "points" {
					d.curves = append(d.curves, a.Value)
				}
			}
		}
	}
}

func TestChart(t *testing.T) {
	got := read(t, plot.Chart{
		Title: "a < b & c", X: "s", Y: "share",
		Lines: []plot.Line{
			{Name: "one", Points: []plot.Point{{X: 0, Y: 0}, {X: 5, Y: 0.5}, {X: 10, Y: 1}}},
			{Name: "nothing"},
		},
		Goals: []plot.Goal{{Name: "2 s", Value: 2, OnX: true}},
	})
	// From the lower left corner of the axes to the upper right one.
	if diff := cmp.Diff([]string{"70.0,332.0 383.0,188.0 696.0,44.0", ""}, got.curves); diff != "" {
		t.Errorf("curves (-want +got):\n%s", diff)
	}
	want := []string{"a < b & c", "0", "2", "4", "6", "8", "10", "0", "0.2", "0.4", "0.6", "0.8", "1", "s", "share", "one", "nothing", "2 s"}
	if diff := cmp.Diff(want, got.texts); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func TestGoalBeyondTheCurveIsShown(t *testing.T) {
	c := plot.Chart{Lines: []plot.Line{{Points: []plot.Point{{X: 10000, Y: 80}}}}, Goals: []plot.Goal{{Name: "goal", Value: 150}}}
	if got := read(t, c); !slices.Contains(got.texts, "150") || !slices.Contains(got.texts, "goal") {
		t.Errorf("the axis ends below the goal: %q", got.texts)
	}
}

func TestEmptyChart(t *testing.T) {
	if got := read(t, plot.Chart{Title: "none"}); got.texts[0] != "none" {
		t.Errorf("texts %q", got.texts)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteFails(t *testing.T) {
	if err := (plot.Chart{}).WriteSVG(full{}); err == nil || err.Error() != "disk full" {
		t.Errorf("WriteSVG = %v, want the writer's error", err)
	}
}
