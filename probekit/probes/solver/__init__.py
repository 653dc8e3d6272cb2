"""Linear probes that share their features, solved as one computation, on the CPU or a GPU.

For each problem p with its own rows, its own C, and n rows in use:

    minimise  Σ loss / n + |w|² / (2 C n)        bias unpenalised

which is `C Σ loss + |w|²/2` divided by C n. A sweep is one call: every division and every C (and every class, where
the classes are apart) is a problem.

    space.py    the features in the eigenbasis of their Gram matrix
    losses.py   logistic, multinomial and squared-hinge losses: first and second derivatives
    batch.py    the problems, walking together: preconditioned L-BFGS
    linear.py   probes in terms of these: one fit in float64, one sweep in float32

Nothing here is imported before a probe is trained: it loads PyTorch.
"""
