/* lost.cl: includes a file that does not exist. */
#include "nowhere.clh"
