"""Side-by-side measurements, interleaved: this engine against transformers and against itself."""
