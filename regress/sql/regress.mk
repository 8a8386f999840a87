# regress.mk - what the room sql runs.

$(O)/regress/storaged_test: $(patsubst %,$(O)/obj/regress/sql/%.o,storaged_test child \
    together load standby) $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

REGRESS	+= $(O)/regress/storaged_test
