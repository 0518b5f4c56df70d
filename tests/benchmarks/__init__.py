"""The benchmark suite: the same reads by rasterflight, by other libraries, and by the least that can be done."""
