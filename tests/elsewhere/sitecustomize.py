"""Read by each Python that a test starts while catalogues are kept on PostgreSQL."""

from tests.state import put_elsewhere

put_elsewhere()
