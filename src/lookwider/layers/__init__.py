"""Small exact layers: bilinear taps, deconvolutions, geometry of features, shift-and-stitch."""
