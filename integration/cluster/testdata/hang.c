/* A PKCS#11 module that is another one (REAL), but hangs as long as a file (HANG) exists: what a network HSM does whose
   connection is cut. Only calls that reach the token hang. */
#define CK_PTR *
#define CK_DECLARE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION_POINTER(type, name) type (*name)
#define CK_CALLBACK_FUNCTION(type, name) type (*name)
#define NULL_PTR 0
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>
#include "pkcs11.h"

static CK_FUNCTION_LIST list;
static CK_FUNCTION_LIST_PTR real;

static void pass(void) {
	while (access(HANG, F_OK) == 0)
		usleep(10000);
}

static CK_RV random_(CK_SESSION_HANDLE s, CK_BYTE_PTR b, CK_ULONG n) { pass(); return real->C_GenerateRandom(s, b, n); }
static CK_RV sign_(CK_SESSION_HANDLE s, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR g, CK_ULONG_PTR m) { pass(); return real->C_Sign(s, d, n, g, m); }
static CK_RV session(CK_SESSION_HANDLE s, CK_SESSION_INFO_PTR i) { pass(); return real->C_GetSessionInfo(s, i); }
static CK_RV token(CK_SLOT_ID s, CK_TOKEN_INFO_PTR i) { pass(); return real->C_GetTokenInfo(s, i); }
static CK_RV unwrap(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE k, CK_BYTE_PTR w, CK_ULONG n, CK_ATTRIBUTE_PTR t, CK_ULONG c, CK_OBJECT_HANDLE_PTR o) {
	pass();
	return real->C_UnwrapKey(s, m, k, w, n, t, c, o);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR);
	void *lib = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
	CK_RV rv;
	if (!lib || !(get = (CK_RV (*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(lib, "C_GetFunctionList")))
		return CKR_GENERAL_ERROR;
	if ((rv = get(&real)) != CKR_OK)
		return rv;
	memcpy(&list, real, sizeof list);
	list.C_GenerateRandom = random_;
	list.C_Sign = sign_;
	list.C_GetSessionInfo = session;
	list.C_GetTokenInfo = token;
	list.C_UnwrapKey = unwrap;
	*out = &list;
	return CKR_OK;
}
