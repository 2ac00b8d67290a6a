"""The values everything else passes around: choices, architectures, layers, networks, costs. No torch, no I/O."""
