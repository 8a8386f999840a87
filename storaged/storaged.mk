# storaged.mk - the SQL files become a part of the program.  Included by
# ../imsg/imsg.mk.

SQLFILES = $(sort $(wildcard storaged/sql/[0-9]*.sql))

$(GEN)/sql_files.c: $(SQLFILES) storaged/embed.awk storaged/storaged.mk
	@mkdir -p $(GEN)
	$(Q)awk -f storaged/embed.awk $(SQLFILES) > $@.tmp && mv $@.tmp $@

GENOBJS_storaged += $(GEN)/sql_files.o

# Speaks to a real storaged as the parent and as the owners; run by
# regress/sql/run.sh.
$(O)/regress/storaged_test: regress/sql/storaged_test.c $(O)/libimsg.a $(GENHDRS)
	@mkdir -p $(@D)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDHARDEN) -o $@ $< $(O)/libimsg.a $(LIBS)

$(O)/obj/storaged/%.o: CPPFLAGS += $(shell pkg-config --cflags libpq)
