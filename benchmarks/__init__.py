"""Measurements that take longer than a page of the book; each writes JSON to results/."""
