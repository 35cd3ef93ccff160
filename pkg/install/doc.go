// Package install puts Tekton, Chains and Headrace on a cluster, and gives
// teams and releases their namespaces.
//
// What is installed is what the modules below bundles/platform pin and what
// bundles/install holds. Images are built by ko and pushed to the registry the
// cluster pulls from; what is built is kept by content, so only a changed pin
// builds again. Everything is applied on the server's side with one field
// manager, and applying what is there already changes nothing.
//
// The key that Chains signs with is made once, on the cluster. Nothing here
// prints it, writes it to a file or replaces it.
package install
