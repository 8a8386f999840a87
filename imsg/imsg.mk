# imsg.mk - how each program is made.  Included by ../GNUmakefile.

GEN	= $(O)/gen
AWK	= awk -f imsg/gen.awk -v hash=$(shell sha256sum imsg/messages.master | cut -d' ' -f1)
MASTER	= imsg/messages.master imsg/gen.awk imsg/imsg.mk

MAKEFLAGS += --no-builtin-rules

# Programs of the table and the processes that each of them is.
MSGPROGS = parent sessiond taskd runnerd tunneld providerd storaged frontd worker
PROCS_frontd = api admin runner
# What every worker hears from the parent; worker.c is linked by all of them.
PROCS_worker = sessiond taskd runnerd tunneld providerd storaged api admin runner

$(GEN)/messages.h: $(MASTER)
	@mkdir -p $(GEN)
	$(Q)$(AWK) -v what=header imsg/messages.master > $@.tmp && mv $@.tmp $@
$(GEN)/messages.c: $(MASTER)
	@mkdir -p $(GEN)
	$(Q)$(AWK) -v what=table imsg/messages.master > $@.tmp && mv $@.tmp $@
$(GEN)/%_msg.h: $(MASTER)
	@mkdir -p $(GEN)
	$(Q)$(AWK) -v what=hdr -v prog=$* -v procs="$(or $(PROCS_$*),$*)" \
	    imsg/messages.master > $@.tmp && mv $@.tmp $@
$(GEN)/%_msg.c: $(MASTER)
	@mkdir -p $(GEN)
	$(Q)$(AWK) -v what=disp -v prog=$* -v procs="$(or $(PROCS_$*),$*)" \
	    imsg/messages.master > $@.tmp && mv $@.tmp $@
# `&:': once for both, or the second time is after something was compiled and
# the next make makes everything again.
$(GEN)/runner.pb-c.c $(GEN)/runner.pb-c.h &: imsg/runner.proto
	@mkdir -p $(GEN)
	protoc-c -Iimsg --c_out=$(GEN) runner.proto

GENHDRS	= $(GEN)/messages.h $(MSGPROGS:%=$(GEN)/%_msg.h) $(GEN)/runner.pb-c.h

# Code that others wrote (protobuf-c's output, llhttp) is built without our
# warnings.
$(O)/gen/%.pb-c.o: $(GEN)/%.pb-c.c $(GENHDRS)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(CFLAGS)) -c -o $@ $<
$(O)/gen/%.o: $(GEN)/%.c $(GENHDRS)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
# A switch of bison's own has a default.
$(GEN)/parse.o: $(GEN)/parse.c parent/parent.h parent/conf.h $(GENHDRS)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) -Iparent $(filter-out -Wswitch-enum,$(CFLAGS)) -c -o $@ $<
$(O)/obj/%.o: %.c $(GENHDRS)
	@mkdir -p $(@D)
	@echo "cc $<"
	$(Q)$(CC) $(CPPFLAGS) -I$(<D) $(CFLAGS) -MMD -MP -c -o $@ $<

IMSG_OBJS = $(patsubst %.c,$(O)/obj/%.o,$(wildcard imsg/*.c)) $(GEN)/messages.o
$(O)/libimsg.a: $(IMSG_OBJS)
	@rm -f $@ && $(AR) rcs $@ $^

GENOBJS_runnerd	= $(GEN)/runner.pb-c.o
GENOBJS_marionette-agent = $(GEN)/runner.pb-c.o

-include frontd/frontd.mk
-include storaged/storaged.mk
-include frontd/api.mk

define program
OBJS_$(1) += $(patsubst %.c,$(O)/obj/%.o,$(wildcard $(call folder,$(1))/*.c))
ifneq ($(wildcard $(call folder,$(1))/*.y),)
OBJS_$(1) += $(patsubst %.y,$(O)/gen/%.o,$(notdir $(wildcard $(call folder,$(1))/*.y)))
endif
ifneq ($(filter $(call folder,$(1)),$(MSGPROGS)),)
GENOBJS_$(1) += $(GEN)/$(call folder,$(1))_msg.o
endif
$(O)/$(1): $$(OBJS_$(1)) $$(GENOBJS_$(1)) $(O)/libimsg.a
	@echo "ld $$@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $$@ $$(OBJS_$(1)) $$(GENOBJS_$(1)) \
	    $(O)/libimsg.a $$(LIBS_$(1)) $(LIBS)
.PHONY: $(1)
$(1): $(O)/$(1)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(GEN)/%.c: parent/%.y
	@mkdir -p $(GEN)
	$(Q)bison -o $@ $<

-include $(wildcard $(O)/obj/*/*.d)

.SECONDARY:
