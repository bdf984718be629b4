"""Which change broke it?  An incident is attributed to a commit, or to none, without a model.

1. `symptoms`: families of trouble that the alert, errors in logs and traces and moved metrics name, and their words.
2. `hazards`: what a diff can break, read from its lines. Comments, tests, documents, log lines and moved code can't.
3. `attribution`: a hazard counts in full when it causes the symptoms seen, in a change that reached a failing service
   before the first sign of trouble. When a change was made never speaks for it, only against it. None, when no change
   explains the symptoms well enough, or the cause is plainly operational and no change explains them better.

docs/rootcause.md has the figures.
"""
