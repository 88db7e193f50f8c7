// What the page says, in Chinese and in English.

const zh = {
  skip: "跳到结果", siteNav: "站点", api: "接口", otherLanguage: "English",
  otherLanguageLabel: "Switch to English", searchLabel: "搜索商品图片",
  headline: "说一句话，或给一张图", tagline: "在商品图片里找到你要的那一件",
  queryLabel: "想找什么", queryHint: "例如：红色碎花吊带裙", queryHintMore: "再补一句，例如：要红色的",
  pickImage: "用图片搜索", search: "搜索",
  weightText: "偏文字", weightImage: "偏图片", weightLabel: "文字与图片的比重",
  weightSaid: (n) => `图片占 ${n}%`,
  startHint: "也可以粘贴、拖入或选择一张图片。试试：", startHintText: "试试：",
  samples: ["红色碎花吊带裙", "蓝色条纹马克杯", "白色运动鞋", "北欧风落地灯", "碎花以外的连衣裙"],
  resultsLabel: "结果", gridLabel: "商品图片", more: "更多结果", dropHere: "松开，用这张图片搜索",
  viewerLabel: "大图", close: "关闭", remove: (what) => `去掉${what}`,
  uploaded: "上传的图片", likeItem: (id) => `像 ${id}`, lessItem: (id) => `不要像 ${id}`,
  item: (id) => `商品 ${id}`, enlarge: (id) => `看大图：商品 ${id}`, score: (s) => `相似度 ${s}`,
  like: "找相似", less: "少要这种", likeLabel: (id) => `找和 ${id} 相似的`, lessLabel: (id) => `少要 ${id} 这种`,
  noImage: "图片不在了",
  searching: "正在搜索…", loadingMore: "正在取更多…", imagesLoading: "首次用图片搜索，正在载入图像模型，请稍候…",
  shown: (n, total) => `前 ${n} 件，共 ${total} 件`, shownOnly: (n) => `前 ${n} 件`,
  took: (ms) => `${ms} 毫秒`, version: (v) => `索引 ${v}`, none: "没有可显示的商品。",
  pool: (n) => `${n} 件商品可搜`,
  allShown: (n) => `就这些了，共 ${n} 件。`, farEnough: (n) => `已到第 ${n} 件，再往后请换个说法。`,
  understood: (yes, no) => `已理解为：要“${yes}”，不要“${no}”。`, literal: "按原话搜索",
  isLiteral: "正按原话搜索，没有处理“不要”一类的说法。", interpret: "改为理解否定",
  truncated: "这句话太长，后面的部分没有读到。",
  changed: "索引刚刚更新，后面的结果不再接得上。", renew: "用新索引重新搜索",
  lostImage: "这个地址里的查询用到一张上传的图片。图片不会写进地址，请重新给图。",
  lostRest: "下面只按其余条件搜索。",
  unshared: "上传的图片只在此页有效，分享地址时不会带上。",
  noImages: "这个服务没有开启图片搜索。", notImage: "没有得到图片文件。",
  retryIn: (s) => `${s} 秒后自动重试`, retry: "现在重试", keyLabel: "访问密钥", keySend: "进入",
  keyNote: "密钥只留在这个标签页里。", requestId: (id) => `请求编号 ${id}`, status: (n) => `状态 ${n}`,
  codes: {
    network: ["连不上服务", "请检查网络，或稍后再试。"],
    overloaded: ["现在人多", "服务正忙，稍等片刻。"],
    rate_limited: ["问得太快", "稍等片刻再搜。"],
    not_ready: ["服务正在准备", "索引还在载入，很快就好。"],
    unavailable: ["暂时不可用", "稍后再试。"],
    deadline_exceeded: ["等得太久", "这次没能按时答完，再试一次。"],
    request_timeout: ["上传太慢", "请求没有按时送到，再试一次。"],
    unauthorized: ["需要访问密钥", "请输入服务管理者给你的密钥。"],
    empty_query: ["还没有内容", "写几个字，或给一张图片。"],
    query_too_long: ["太长了", "最多 512 个字，请缩短一些。"],
    bad_image: ["这张图片不能用", "请换一张 JPEG、PNG 或 WebP 图片。"],
    unknown_item: ["没有这件商品", "它可能不在当前的索引里了。"],
    no_image: ["没有图片", "这里搜的是文字。"],
    body_too_large: ["图片太大", "请换一张小一些的。"],
    invalid_request: ["请求不合要求", "地址里的某个条件不对，改一改再搜。"],
    invalid_json: ["请求不合要求", "内容无法读取。"],
    invalid_input: ["内容不能用", "换个说法再试。"],
    unsupported_media_type: ["格式不支持", "请换一张 JPEG、PNG 或 WebP 图片。"],
    internal: ["服务出错了", "这是服务的问题，已记录在日志里。"],
    not_found: ["没有这个地址", "服务的版本可能与页面不同，请刷新。"],
    method_not_allowed: ["没有这个操作", "服务的版本可能与页面不同，请刷新。"],
    bad_http: ["服务不接受这个主机名", "请用管理者给的地址访问。"],
    uri_too_long: ["地址太长", "请缩短查询。"],
    headers_too_large: ["请求头太大", "请清除此站点的浏览数据后再试。"],
    artifact_error: ["索引不可用", "服务端的文件有问题。"],
    out_of_memory: ["内存不够", "服务端的内存暂时不够，稍后再试。"],
    insufficient_memory: ["内存不够", "新索引放不下，仍在用原来的。"],
    corrupt_bundle: ["索引已损坏", "服务端的文件有问题。"],
    incompatible_bundle: ["索引与模型不符", "服务端需要重新建立索引。"],
    other: ["出错了", "再试一次；若仍不行，请联系管理者。"],
  },
  texts: { // where the items are texts
    searchLabel: "用图片搜索文字", headline: "给一张图，找到说它的话", tagline: "图片来问，文字来答",
    queryHint: "或者输入文字", startHint: "粘贴、拖入或选择一张图片；也可以输入文字：",
    gridLabel: "文字", viewerLabel: "全文", noImage: "文字不在了", none: "没有可显示的文字。",
    item: (id) => `文字 ${id}`, enlarge: (id) => `看全文：${id}`,
    shown: (n, total) => `前 ${n} 条，共 ${total} 条`, pool: (n) => `${n} 条文字可搜`,
    allShown: (n) => `就这些了，共 ${n} 条。`, farEnough: (n) => `已到第 ${n} 条，再往后请换个说法。`,
  },
};

const en = {
  skip: "Skip to results", siteNav: "Site", api: "API", otherLanguage: "中文",
  otherLanguageLabel: "切换到中文", searchLabel: "Search product images",
  headline: "Say it, or show an image", tagline: "Find that one item among the product images",
  queryLabel: "What to look for", queryHint: "In Chinese, e.g. 红色碎花吊带裙",
  queryHintMore: "Add a few words, e.g. 要红色的",
  pickImage: "Search with an image", search: "Search",
  weightText: "Words", weightImage: "Image", weightLabel: "Weight of words and image",
  weightSaid: (n) => `image ${n}%`,
  startHint: "Or paste, drop or pick an image. Try:", startHintText: "Try:", samples: zh.samples,
  resultsLabel: "Results", gridLabel: "Product images", more: "More results",
  dropHere: "Drop to search with this image",
  viewerLabel: "Large image", close: "Close", remove: (what) => `Remove ${what}`,
  uploaded: "your image", likeItem: (id) => `like ${id}`, lessItem: (id) => `unlike ${id}`,
  item: (id) => `Item ${id}`, enlarge: (id) => `Enlarge item ${id}`, score: (s) => `similarity ${s}`,
  like: "More like this", less: "Less like this",
  likeLabel: (id) => `More like this: ${id}`, lessLabel: (id) => `Less like this: ${id}`,
  noImage: "Image is gone",
  searching: "Searching…", loadingMore: "Fetching more…",
  imagesLoading: "First search with an image: loading the image model, one moment…",
  shown: (n, total) => `Top ${n} of ${total}`, shownOnly: (n) => `Top ${n}`,
  took: (ms) => `${ms} ms`, version: (v) => `index ${v}`, none: "Nothing to show.",
  pool: (n) => `${n} items to search`,
  allShown: (n) => `That is all: ${n} items.`, farEnough: (n) => `${n} items shown; to go further, ask differently.`,
  understood: (yes, no) => `Understood: “${yes}”, without “${no}”.`, literal: "Search as written",
  isLiteral: "Searching as written; negations are not interpreted.", interpret: "Interpret negations",
  truncated: "The sentence is too long; its end was not read.",
  changed: "The index was just updated; further results would not fit these.", renew: "Search the new index",
  lostImage: "This address asks with an uploaded image. Images are not kept in addresses; please give it again.",
  lostRest: "Below, only the rest of the query is searched.",
  unshared: "Your image stays in this page; a shared address does not carry it.",
  noImages: "This service does not search with images.", notImage: "That held no image file.",
  retryIn: (s) => `Trying again in ${s} s`, retry: "Try now", keyLabel: "API key", keySend: "Enter",
  keyNote: "The key stays in this tab alone.", requestId: (id) => `request ${id}`, status: (n) => `status ${n}`,
  codes: {
    network: ["Cannot reach the service", "Check the network, or try again later."],
    overloaded: ["Many people are searching", "The service is busy; one moment."],
    rate_limited: ["Too many searches", "Wait a moment before the next one."],
    not_ready: ["Getting ready", "The index is still loading; it will not take long."],
    unavailable: ["Not available now", "Try again later."],
    deadline_exceeded: ["It took too long", "No answer came in time; try again."],
    request_timeout: ["The upload was too slow", "The request did not arrive in time; try again."],
    unauthorized: ["API key required", "Enter the key that whoever runs the service gave you."],
    empty_query: ["Nothing to search for", "Write a few words, or give an image."],
    query_too_long: ["Too long", "At most 512 characters; shorten it a little."],
    bad_image: ["This image cannot be used", "Try another JPEG, PNG or WebP image."],
    unknown_item: ["No such item", "It may no longer be in the index."],
    no_image: ["No image", "Here texts are searched."],
    body_too_large: ["The image is too large", "Try a smaller one."],
    invalid_request: ["The request is not right", "Some part of the address is wrong; change it and search again."],
    invalid_json: ["The request is not right", "It could not be read."],
    invalid_input: ["This cannot be used", "Put it another way."],
    unsupported_media_type: ["Unsupported format", "Try another JPEG, PNG or WebP image."],
    internal: ["The service failed", "The fault is the service's; its log has the details."],
    not_found: ["Nothing here", "Page and service may differ in version; reload the page."],
    method_not_allowed: ["No such action", "Page and service may differ in version; reload the page."],
    bad_http: ["Host name not served", "Use the address you were given."],
    uri_too_long: ["Address too long", "Shorten the query."],
    headers_too_large: ["Request headers too large", "Clear this site's browsing data and try again."],
    artifact_error: ["Index not usable", "Files on the server have a fault."],
    out_of_memory: ["Out of memory", "The server lacks memory right now; try again later."],
    insufficient_memory: ["Out of memory", "The new index does not fit; the old one still serves."],
    corrupt_bundle: ["Index damaged", "Files on the server have a fault."],
    incompatible_bundle: ["Index and model differ", "The server's index has to be built again."],
    other: ["Something went wrong", "Try again; if it stays, tell whoever runs the service."],
  },
  texts: {
    searchLabel: "Search texts with an image", headline: "Show an image, find its words",
    tagline: "An image asks, texts answer",
    queryHint: "Or type, in Chinese", startHint: "Paste, drop or pick an image; or type:",
    gridLabel: "Texts", viewerLabel: "Whole text", noImage: "Text is gone",
    item: (id) => `Text ${id}`, enlarge: (id) => `Whole text ${id}`,
    pool: (n) => `${n} texts to search`,
    allShown: (n) => `That is all: ${n} texts.`, farEnough: (n) => `${n} texts shown; to go further, ask differently.`,
  },
};

const KEPT = "tusou.language";
const languages = { zh, en };
let chosen = "zh";
try {
  if (localStorage.getItem(KEPT) === "en") chosen = "en";
} catch { /* storage is switched off: the choice lasts as long as the page */ }

let items = "images";

export function speakOf(kind) {
  items = kind;
}

export function words() {
  const all = languages[chosen];
  return items === "texts" ? { ...all, ...all.texts } : all;
}

export function switchLanguage() {
  chosen = chosen === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(KEPT, chosen);
  } catch { /* as above */ }
}

// Fills every element that names its word, in whatever attribute it is for.
export function say(root) {
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  for (const one of root.querySelectorAll("[data-word]")) one.textContent = words()[one.dataset.word];
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", words()[one.dataset.label]);
  for (const one of root.querySelectorAll("[data-title]")) one.title = words()[one.dataset.title];
  for (const one of root.querySelectorAll("[data-hint]")) one.placeholder = words()[one.dataset.hint];
}
