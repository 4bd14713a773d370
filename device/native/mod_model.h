// The type `_tinyren.Model`, for the module's table.

#ifndef TINYREN_MOD_MODEL_H
#define TINYREN_MOD_MODEL_H

#include "py/obj.h"

extern const mp_obj_type_t tinyren_model_type;

#endif
