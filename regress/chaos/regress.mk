# regress.mk - the clock that the fault `step the clock' sets.

REGRESS	+= $(O)/regress/step.so
$(O)/regress/step.so: regress/chaos/step.c
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -o $@ $<
