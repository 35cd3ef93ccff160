package git

// For tests of what is decided inside.
var (
	MergeText = mergeText
	Resolve   = resolve
)
