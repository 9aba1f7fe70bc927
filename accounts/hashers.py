"""How passwords are hashed: Argon2id with the memory that OWASP's password storage page asks for, and no more.

Django's default takes 100 MiB for each hashing, so that eight sign-ins at once, which nobody has to be known for, would
take most of a small machine.
"""

from django.contrib.auth.hashers import Argon2PasswordHasher


class ModestArgon2Hasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one lane."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1
