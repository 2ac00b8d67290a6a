"""What networks are written to: ONNX bytes and stand-alone PyTorch source; no torch."""
