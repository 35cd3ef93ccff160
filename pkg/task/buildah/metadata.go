package buildah

import (
	"runtime"
	"slices"
	"time"
)

// architectures are the names that labels have always used.
var architectures = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// metadata is what every image says of its origin. What the user adds comes
// after it, and so wins.
func (o Options) metadata(root string, p Plan) (labels, annotations []string, err error) {
	created := time.Now()
	for _, seconds := range []*int64{p.Epoch, p.Timestamp} {
		if seconds != nil {
			created = time.Unix(*seconds, 0)
		}
	}
	stamp := created.UTC().Format(time.RFC3339)
	arch := runtime.GOARCH
	if name, ok := architectures[arch]; ok {
		arch = name
	}
	both := []string{"org.opencontainers.image.created=" + stamp}
	labels = []string{"build-date=" + stamp, "architecture=" + arch}
	if o.SourceURL != "" {
		both = append(both, "org.opencontainers.image.source="+o.SourceURL)
		labels = append(labels, "vcs-url="+o.SourceURL)
	}
	if o.CommitSHA != "" {
		both = append(both, "org.opencontainers.image.revision="+o.CommitSHA)
		labels = append(labels, "vcs-ref="+o.CommitSHA, "vcs-type=git")
	}
	if o.ImageExpiresAfter != "" {
		labels = append(labels, "quay.expires-after="+o.ImageExpiresAfter)
	}
	file, err := pairsFile(root, "annotations-file", o.AnnotationsFile)
	if err != nil {
		return nil, nil, err
	}
	return slices.Concat(both, labels, o.Lists.Labels), slices.Concat(both, file, o.Lists.Annotations), nil
}
