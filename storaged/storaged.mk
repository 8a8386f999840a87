# storaged.mk - the SQL files become a part of the program.  Included by
# ../imsg/imsg.mk.

SQLFILES = $(sort $(wildcard storaged/sql/[0-9]*.sql))

$(GEN)/sql_files.c: $(SQLFILES) storaged/embed.awk storaged/storaged.mk
	@mkdir -p $(GEN)
	$(Q)awk -f storaged/embed.awk $(SQLFILES) > $@.tmp && mv $@.tmp $@

GENOBJS_storaged += $(GEN)/sql_files.o

$(O)/obj/storaged/%.o: CPPFLAGS += $(PQ_CFLAGS)
