"""What would go wrong is said before anything is made: one sentence each, all of them at once.

Pure checks first (names, sizes), then what AWS is asked: region, permissions, quotas, service-linked roles, secrets.
"""
