"""What a network costs per layer, per image and per mode; one accounting for losses, search and reports."""

from flow.costs.accounting import UNITS, Accounting

__all__ = ["UNITS", "Accounting"]
