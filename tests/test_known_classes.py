from lookwider import known_classes as known


def test_voc_palette_is_the_published_one():
    # VOCdevkit, VOClabelcolormap: the first colours, and void as the last
    published = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 8: (64, 0, 0)}
    published |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {i: known.voc_colour(i) for i in published} == published


def test_voc_palette_equals_the_shift_loop():
    for index in range(256):
        red = green = blue = 0
        rest = index
        for j in range(8):
            red |= (rest & 1) << (7 - j)
            green |= (rest >> 1 & 1) << (7 - j)
            blue |= (rest >> 2 & 1) << (7 - j)
            rest >>= 3
        assert known.voc_colour(index) == (red, green, blue)


def test_sizes():
    tables = (known.VOC, known.CAMVID, known.CITYSCAPES, known.ADE20K, known.PASCAL_CONTEXT_60)
    assert [len(table) for table in tables] == [21, 11, 19, 150, 60]
    assert len(known.PASCAL_CONTEXT_59) == len(known.PASCAL_CONTEXT_IDS) == 59
    assert (len(known.SIFT_FLOW), len(known.SIFT_FLOW_GEOMETRIC)) == (33, 3)
    assert len(known.CITYSCAPES_IDS) == 19


def test_names_at_known_places():
    assert known.VOC.names[20] == "tvmonitor"
    assert known.CITYSCAPES.names[18] == "bicycle"
    assert known.CITYSCAPES.palette[0] == (128, 64, 128)
    assert known.CITYSCAPES_IDS[0] == 7
    assert known.CITYSCAPES_IDS[18] == 33
    assert known.ADE20K.names[149] == "flag"
    assert known.ADE20K.names[12] == "person"
    assert known.ADE20K.palette[149] == (92, 0, 255)
    assert known.PASCAL_CONTEXT_60.names[1:] == known.PASCAL_CONTEXT_59.names
    assert known.SIFT_FLOW.names[27] == "sky"


def test_pascal_context_values_are_those_of_the_full_annotation():
    # the same 59 values, as another release of the data lists them
    published = (
        *(2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33),
        *(162, 420, 454, 295, 296, 427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68),
        *(326, 72, 458, 34, 207, 80, 355, 85, 347, 220, 349, 360, 98, 187, 104, 105, 366, 189),
        *(368, 113, 115),
    )
    assert sorted(published) == sorted(known.PASCAL_CONTEXT_IDS)
    ids = dict(zip(known.PASCAL_CONTEXT_59.names, known.PASCAL_CONTEXT_IDS, strict=True))
    assert (ids["aeroplane"], ids["table"], ids["cloth"], ids["wood"]) == (2, 397, 80, 458)
