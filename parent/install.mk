# install.mk - make install (PREFIX, DESTDIR) and make users.

SBIN	= $(DESTDIR)$(PREFIX)/sbin
BIN	= $(DESTDIR)$(PREFIX)/bin
LIBEXEC	= $(DESTDIR)$(PREFIX)/libexec/marionette
MAN	= $(DESTDIR)$(PREFIX)/share/man
SHARE	= $(DESTDIR)$(PREFIX)/share/marionette
SYSTEMD	?= /usr/lib/systemd/system
SYSUSERS ?= /usr/lib/sysusers.d
TMPFILES ?= /usr/lib/tmpfiles.d
SYSCONF	?= /etc

# A file with @PREFIX@ in it: $(1) from, $(2) to, $(3) mode.  Nothing of root's
# stays where it was built.
define put
sed 's|@PREFIX@|$(PREFIX)|g' $(1) | install -D -m $(3) /dev/stdin '$(2)'

endef

# There may be blanks in DESTDIR.
install: all
	install -d '$(SBIN)' '$(BIN)' '$(LIBEXEC)' '$(SHARE)'
	install -m 755 $(O)/marionetted '$(SBIN)/'
	install -m 755 $(O)/mctl $(O)/marionette-agent '$(BIN)/'
	install -m 755 $(WORKERS:%=$(O)/%) '$(LIBEXEC)/'
	install -m 755 agent/demo/demo-agent '$(LIBEXEC)/'
	for m in man/*.[1-9]; do \
		install -D -m 644 $$m '$(MAN)'/man$${m##*.}/$${m##*/} || \
		    exit 1; done
	$(call put,parent/etc/marionette.service,$(DESTDIR)$(SYSTEMD)/marionette.service,644)
	$(call put,parent/etc/marionette-agent.service,$(DESTDIR)$(SYSTEMD)/marionette-agent.service,644)
	$(call put,parent/etc/sysusers.conf,$(DESTDIR)$(SYSUSERS)/marionette.conf,644)
	$(call put,parent/etc/tmpfiles.conf,$(DESTDIR)$(TMPFILES)/marionette.conf,644)
	$(call put,parent/etc/marionette.rc,$(SHARE)/marionette.rc,755)
	$(call put,parent/etc/marionette.conf,$(SHARE)/marionette.conf,644)
	[ -e '$(DESTDIR)$(SYSCONF)/marionette/marionette.conf' ] || \
	    install -D -m 640 '$(SHARE)/marionette.conf' \
	    '$(DESTDIR)$(SYSCONF)/marionette/marionette.conf'

# The workers' users, where there is no systemd-sysusers to read sysusers.conf.
users:
	sh parent/users.sh parent/etc/sysusers.conf

.PHONY: install users
