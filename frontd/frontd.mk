# frontd.mk - HTTP/1.1 parsing.  Where libllhttp is packaged it is linked;
# Debian ships its C source in node-llhttp, which is compiled in, without our
# warnings and with the parser's own strict mode.

ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
CFLAGS_llhttp	= $(shell pkg-config --cflags libllhttp)
LIBS_frontd	+= $(shell pkg-config --libs libllhttp)
else
LLHTTP		?= /usr/share/llhttp
CFLAGS_llhttp	= -I/usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
LLHTTP_OBJS	= $(O)/obj/llhttp/llhttp.o $(O)/obj/llhttp/api.o \
		  $(O)/obj/llhttp/http.o
GENOBJS_frontd	+= $(LLHTTP_OBJS)
$(O)/obj/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_llhttp) $(filter-out $(WARN),$(CFLAGS)) -w -c -o $@ $<
endif

$(O)/obj/frontd/http1.o: CPPFLAGS += $(CFLAGS_llhttp)
