"""hwnas: neural networks made to measure for the hardware they run on."""
