"""`python -m radius_mfa` is `radius-mfa`."""

from radius_mfa.cli.main import main

if __name__ == "__main__":
    main()
