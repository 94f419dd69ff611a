"""What test modules share, apart from fixtures, which conftest.py has."""
