"""Feature cache and linear probes around frozen foundation models.

Data flows one way: manifest → images → frozen model → store → features → question → report.
"""

__version__ = "0.1.0"
