package testoutput

import "encoding/json"

// ProcessedName is the result by which policies know that every image of an
// index was looked at.
const ProcessedName = "IMAGES_PROCESSED"

// maxPullspec is more than any reference has, in bytes.
const maxPullspec = 512

// Processed is the value of IMAGES_PROCESSED: the image that was asked for, and
// the digests that were looked at. What is too long for a reference is cut.
func Processed(pullspec string, digests []string) string {
	type image struct {
		Pullspec string   `json:"pullspec"`
		Digests  []string `json:"digests"`
	}
	if digests == nil {
		digests = []string{}
	}
	text, err := json.Marshal(struct {
		Image image `json:"image"`
	}{image{cut(pullspec, maxPullspec), digests}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}
