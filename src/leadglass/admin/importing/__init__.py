"""Configurations of other archives, read as proposals for a policy: closed where they were open.

Each source says in ``Found`` what it had. ``proposal`` alone decides what of it may stand in a policy.
"""
