# regress.mk - what the room sql runs.

$(O)/regress/storaged_test: $(O)/obj/regress/sql/storaged_test.o $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

REGRESS	+= $(O)/regress/storaged_test
