# regress.mk - a whole tree whose workers can be made to try what they must not.
# The workers that ship are made without probe.o; the test looks.

define probing
$(O)/probe/$(1): $(O)/$(1) $(O)/obj/regress/sys/probe.o
	@mkdir -p $$(@D)
	@echo "ld $$@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $$@ $$(OBJS_$(1)) $$(GENOBJS_$(1)) \
	    $(O)/obj/regress/sys/probe.o $(O)/libimsg.a $$(LIBS_$(1)) $(LIBS)
endef
$(foreach p,$(WORKERS),$(eval $(call probing,$(p))))

$(O)/probe/marionetted: $(O)/marionetted
	@mkdir -p $(@D)
	$(Q)rm -f $@ && cp $< $@

REGRESS	+= $(WORKERS:%=$(O)/probe/%) $(O)/probe/marionetted

# And a whole tree whose frontd can be captured.
$(O)/captured/frontd: $(O)/frontd $(O)/obj/regress/sys/captured.o
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -Wl,--wrap=proc_dispatch -o $@ \
	    $(OBJS_frontd) $(GENOBJS_frontd) $(O)/obj/regress/sys/captured.o \
	    $(O)/libimsg.a $(LIBS_frontd) $(LIBS)
CAPTURED = marionetted marionette-agent $(filter-out frontd,$(WORKERS))
$(CAPTURED:%=$(O)/captured/%): $(O)/captured/%: $(O)/%
	@mkdir -p $(@D)
	$(Q)rm -f $@ && cp $< $@

REGRESS	+= $(CAPTURED:%=$(O)/captured/%) $(O)/captured/frontd

# And one that looks after its certificate each second instead of once a day, and
# waits a second for PostgreSQL to stop.
IMPATIENT = $(O)/obj/regress/sys/renew.o $(O)/obj/regress/sys/postgres.o
$(IMPATIENT): $(O)/obj/regress/sys/%.o: parent/%.c $(GENHDRS)
	@mkdir -p $(@D)
	@echo "cc $< (RENEW_MS=1000, STOP_MS=1000)"
	$(Q)$(CC) $(CPPFLAGS) -Iparent -DRENEW_MS=1000 -DSTOP_MS=1000 $(CFLAGS) \
	    -MMD -MP -c -o $@ $<
$(O)/renewing/marionetted: $(O)/marionetted $(IMPATIENT)
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $(IMPATIENT) \
	    $(filter-out $(O)/obj/parent/renew.o $(O)/obj/parent/postgres.o, \
	    $(OBJS_marionetted)) $(GENOBJS_marionetted) $(O)/libimsg.a $(LIBS_marionetted) $(LIBS)
RENEWING = marionette-agent $(WORKERS)
$(RENEWING:%=$(O)/renewing/%): $(O)/renewing/%: $(O)/%
	@mkdir -p $(@D)
	$(Q)ln -f $< $@

REGRESS	+= $(RENEWING:%=$(O)/renewing/%) $(O)/renewing/marionetted
