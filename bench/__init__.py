"""How fast is Sensus here, beside the bare limits of this machine?  The benchmarks behind `sensus bench`."""
