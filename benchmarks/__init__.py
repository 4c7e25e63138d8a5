"""Benchmarks of django-whizbang: `python -m benchmarks NAME`. README.md says what each compares."""
