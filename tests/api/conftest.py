"""The API is tested over the same pretend workspace as the console."""

from __future__ import annotations

from tests.console.conftest import (
    browser as browser,
)
from tests.console.conftest import (
    client as client,
)
from tests.console.conftest import (
    done_study as done_study,
)
from tests.console.conftest import (
    empty_browser as empty_browser,
)
from tests.console.conftest import (
    empty_workspace as empty_workspace,
)
from tests.console.conftest import (
    read_study as read_study,
)
from tests.console.conftest import (
    workspace as workspace,
)
