# regress.mk - what the tests of frontd's API half are run with.

FRONTD_OBJS = $(filter-out $(O)/obj/frontd/main.o,$(OBJS_frontd)) \
	      $(GENOBJS_frontd)
REGRESS	+= $(O)/regress/world $(O)/regress/routes

$(O)/regress/world: $(O)/obj/regress/http/world.o $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

$(O)/regress/routes: $(O)/obj/regress/http/routes.o $(FRONTD_OBJS) \
    $(O)/libimsg.a
	@mkdir -p $(@D)
	@echo "ld $@"
	$(Q)$(CC) $(CFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS_frontd) $(LIBS)
