"""Property tests draw the same examples in every CI run; elsewhere they keep exploring. None has a
deadline: a loaded machine is no failure."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "exploring")
