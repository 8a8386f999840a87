# regress.mk - the clock that the fault `step the clock' sets, of PostgreSQL too,
# which has no sanitizer's symbols.

REGRESS	+= $(O)/regress/step.so
$(O)/regress/step.so: regress/chaos/step.c
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -fsanitize% -fno-sanitize%,$(CFLAGS)) \
	    -fPIC -shared -o $@ $<
