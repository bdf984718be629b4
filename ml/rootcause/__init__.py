"""Which service is the likeliest cause of an incident?  From metrics, calls and the alert; arrays in, suspects out.

1. `deviations`: how far each sample is from the fault-free reference, in the metric's own robust units, in the
   direction that is bad for its kind, log-compressed.
2. `series`: the deviation while the alert's own metric was off, less the deviation while it was not; without a telling
   alert the strongest sustained stretch, less what the reference itself reaches.
3. `services`: the best series of each kind; calls that stop although the caller's own load goes on; latency that only
   the caller sees; silence. What a service's callees show explains its own slowness and failures.
4. `ranking`: best kind and a share of the second; services that the alert can't be about are discounted.
5. `confidence`: a logistic function of the lead and the kind of evidence.

docs/rootcause.md has the figures and what each constant is worth.
"""
