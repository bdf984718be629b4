"""The manifests of ops/kubernetes, as a cluster would get them."""
