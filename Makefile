# What there is to run.  Nothing stays behind outside this folder, but for Debian packages that `test` and
# `bench` need and that `demo` needs where python3 came without venv.

.PHONY: demo test bench soak docs dist advisories container clean

# Some machines tell Python to keep nothing it has compiled.  Then each of the hundreds of processes that the tests
# start compiles us anew, and each process of pytest all tests.
unexport PYTHONDONTWRITEBYTECODE

demo:
	@.ci/venv
	@.venv/bin/radius-mfa demo $(ARGS)

# All branches of what decides and of what faces the network are to be run by its own tests.
COVERED = --cov=radius_mfa/core --cov=radius_mfa/wire --cov=radius_mfa/eap --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered
ITS_OWN = core eap wire

# Four processes are for two cores, since many tests wait for what they have started; who is done first takes over what
# is left of another's tests.
PYTEST = .venv/bin/python -m pytest -n 4 --dist worksteal

# `make test ARGS='-k conversation'` runs a part, and asks for no coverage.  Otherwise there are two runs, since
# counting branches takes longer than most tests do.
test:
	@.ci/packages slapd ldap-utils freeradius freeradius-ldap freeradius-utils freeradius-common radsecproxy \
	    faketime postgresql samba samba-dsdb-modules samba-ad-provision libpam-radius-auth pamtester libpam-wrapper \
	    openvpn openvpn-auth-radius eapoltest freeradius-python3 python3-venv chromium fonts-noto-cjk logrotate \
	    prometheus rsyslog systemd
	@.ci/venv test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	@# While mypy has one core, the other compiles the tests, once for all processes of pytest.
	.venv/bin/python -m pytest --collect-only -qq >/dev/null 2>&1 & .venv/bin/mypy; types=$$?; wait; exit $$types
ifdef ARGS
	$(PYTEST) $(ARGS)
else
	@$(PYTEST) $(ITS_OWN:%=tests/%) $(COVERED); own=$$?; \
	    $(PYTEST) $(ITS_OWN:%=--ignore=tests/%) && exit $$own
endif

# Beside FreeRADIUS; with ARGS=quick in less than a minute.  ARGS=flat, workers, policies, eap, inside, portal, audit: docs/performance.md.
bench:
	@.ci/packages slapd ldap-utils freeradius freeradius-ldap freeradius-utils freeradius-python3 postgresql
	@.ci/venv test
	@.venv/bin/python -m bench $(ARGS)

# A million packets, floods, faults: docs/security.md has what it printed.
soak:
	@.ci/packages slapd ldap-utils
	@.ci/venv test
	@.venv/bin/python -m bench.soak $(ARGS)

# The site, in build/site: its reference anew from the code, then all pages.  A link that leads nowhere ends it.
# ARGS=pictures makes those of the users' guide anew, ARGS=login the recorded login of the README.
docs:
ifdef ARGS
	@.ci/packages slapd chromium fonts-noto-cjk
	@.ci/venv test
	@.venv/bin/python -m docs.site.$(ARGS)
else
	@.ci/venv docs
	@.venv/bin/python -m docs.site.reference
	@.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs/site \
	    -d build/doctrees docs build/site
	@echo "build/site/index.html"
endif

# Wheel, sdist and what they bring along, in build/dist: docs/packaging.md.
dist:
	@.ci/venv dist
	@.ci/dist
	@ls build/dist

# Whether something is known to be wrong with a package that an installation brings along.
advisories: dist
	@.ci/venv advisories
	.venv/bin/python -m pip_audit --strict --disable-pip --no-deps --requirement build/dist/constraints.txt

# The image, built for real from Debian's packages; as root, and some minutes.
container:
	@.ci/container

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* *.egg-info build
	find . -name __pycache__ -prune -exec rm -rf {} +
