#include "codec/seal.h"
