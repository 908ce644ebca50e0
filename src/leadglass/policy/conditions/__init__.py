"""The conditions of the policy language, one file each. They do not know one another.

Each file holds a frozen dataclass with ``check`` and a ``TRUTH_TABLE``, from which the tests and the
documentation are made.
"""
