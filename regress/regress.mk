# regress.mk - programs of the tests.  Included by ../GNUmakefile.
#
# regress/unit/test_x.c names in its first line what it links:
#	/* links: taskd/policy.c -lprotobuf-c */

UNITS	= $(patsubst regress/unit/%.c,%,$(wildcard regress/unit/test_*.c))
links	= $(shell sed -n '1s|.*links: *\(.*[^ ]\) *\*/.*|\1|p' $(1))
link_objs = $(patsubst %.c,$(O)/obj/%.o,$(filter %.c,$(1))) \
	    $(if $(filter %.proto,$(1)),$(GEN)/runner.pb-c.o) \
	    $(patsubst %_msg,$(GEN)/%_msg.o,$(filter %_msg,$(1)))

define unit
LINKS_$(1) := $$(call links,regress/unit/$(1).c)
$(O)/regress/$(1): $(O)/obj/regress/unit/$(1).o $$(call link_objs,$$(LINKS_$(1))) $(O)/libimsg.a
	@mkdir -p $$(@D)
	@echo "ld $$@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $$@ $$^ $$(filter -l%,$$(LINKS_$(1))) -lcmocka $(LIBS)
$(O)/obj/regress/unit/$(1).o: CPPFLAGS += $$(addprefix -I,$$(sort $$(dir $$(filter %.c,$$(LINKS_$(1))))))
endef
$(foreach u,$(UNITS),$(eval $(call unit,$(u))))
$(O)/obj/regress/unit/taskd_world.o: CPPFLAGS += -Itaskd
$(O)/obj/regress/unit/hub_world.o: CPPFLAGS += -Isessiond
$(patsubst %,$(O)/obj/regress/unit/%.o,own_conn test_read test_write): \
    CPPFLAGS += $(PQ_CFLAGS) -Istoraged

$(O)/regress/roundtrip: $(O)/obj/regress/msg/roundtrip.o $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

REGRESS	= $(UNITS:%=$(O)/regress/%) $(O)/regress/roundtrip

-include $(wildcard regress/*/regress.mk)

regress-programs: $(REGRESS)
.PHONY: regress-programs
-include $(wildcard $(O)/obj/regress/*/*.d)
