// Reads job files with BOINC's own XML_PARSER, in the order of calls that the stock wrapper makes, and prints what
// it found: one line for each file named on standard input, texts as hex. Debian: libboinc-app-dev, g++.

#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "miofile.h"
#include "parse.h"
#include "str_util.h"

namespace {

std::string hex(const std::string& text) {
    static const char digits[] = "0123456789abcdef";
    std::string out = "x";
    for (unsigned char c : text) {
        out += digits[c >> 4];
        out += digits[c & 15];
    }
    return out;
}

struct Task {
    std::map<std::string, std::string> texts;
    std::vector<std::string> environment;
    std::map<std::string, bool> flags;
    std::map<std::string, double> numbers{{"weight", 1}, {"time_limit", 0}};
    int priority = 1;

    bool take_text(XML_PARSER& parser, const char* name, bool is_short) {
        if (!is_short) return parser.parse_string(name, texts[name]);
        char room[8192];
        if (!parser.parse_str(name, room, sizeof room)) return false;
        texts[name] = room;
        return true;
    }

    bool take(XML_PARSER& parser) {
        if (take_text(parser, "application", false) || take_text(parser, "exec_dir", true)) return true;
        char room[8192];
        if (parser.parse_str("setenv", room, sizeof room)) {
            environment.push_back(room);
            return true;
        }
        for (auto name : {"stdin_filename", "stdout_filename", "stderr_filename"}) {
            if (take_text(parser, name, false)) return true;
        }
        if (take_text(parser, "command_line", true)) return true;
        for (auto name : {"checkpoint_filename", "fraction_done_filename"}) {
            if (take_text(parser, name, false)) return true;
        }
        if (parser.parse_double("weight", numbers["weight"])) return true;
        for (auto name : {"daemon", "forward_slashes", "multi_process", "append_cmdline_args"}) {
            if (parser.parse_bool(name, flags[name])) return true;
        }
        return parser.parse_double("time_limit", numbers["time_limit"]) || parser.parse_int("priority", priority);
    }

    bool read(XML_PARSER& parser) {
        while (!parser.get_tag()) {
            if (!parser.is_tag) continue;
            if (parser.match_tag("/task")) return true;
            take(parser);
        }
        return false;
    }

    void print() const {
        printf(" task");
        for (auto& [name, value] : texts) {
            if (!value.empty()) printf(" %s=%s", name.c_str(), hex(value).c_str());
        }
        for (auto& value : environment) printf(" setenv=%s", hex(value).c_str());
        for (auto& [name, value] : flags) {
            if (value) printf(" %s=1", name.c_str());
        }
        for (auto& [name, value] : numbers) printf(" %s=%.17g", name.c_str(), value);
        printf(" priority=%d", priority);
        char line[4096 + 2] = {};  // a quote at the end makes parse_command_line look one octet further
        char* words[4096];
        auto found = texts.find("command_line");
        snprintf(line, 4096, "%s", found == texts.end() ? "" : found->second.c_str());
        int count = parse_command_line(line, words);
        for (int i = 0; i < count; i++) printf(" word=%s", hex(words[i]).c_str());
    }
};

// What is in unzip_input and zip_output.
bool read_names(XML_PARSER& parser, const char* end, std::string& out) {
    std::string text;
    while (!parser.get_tag()) {
        if (parser.match_tag(end)) return true;
        for (auto name : {"zipfilename", "filename"}) {
            if (!strcmp(end, "/unzip_input") && !strcmp(name, "filename")) continue;
            if (parser.parse_string(name, text)) {
                out += std::string(" ") + (end + 1) + "." + name + "=" + hex(text);
                break;
            }
        }
    }
    return false;
}

void read_file(const std::string& path) {
    FILE* file = fopen(path.c_str(), "r");
    MIOFILE input;
    input.init_file(file);
    XML_PARSER parser(&input);
    bool graphics = false, whole = false;
    std::vector<Task> tasks;
    std::string names;
    if (parser.parse_start("job_desc")) {
        while (!whole && !parser.get_tag()) {
            if (!parser.is_tag) continue;
            if (parser.match_tag("/job_desc")) {
                whole = true;
            } else if (parser.match_tag("task")) {
                Task task;
                if (task.read(parser)) tasks.push_back(task);
            } else if (parser.match_tag("unzip_input")) {
                read_names(parser, "/unzip_input", names);
            } else if (parser.match_tag("zip_output")) {
                read_names(parser, "/zip_output", names);
            } else {
                parser.parse_bool("enable_graphics_support", graphics);
            }
        }
    }
    fclose(file);
    printf("%s", whole ? "whole" : "broken");
    if (whole) {
        if (graphics) printf(" graphics");
        printf("%s", names.c_str());
        for (auto& task : tasks) task.print();
    }
    printf("\n");
    fflush(stdout);
}

}  // namespace

int main() {
    std::string path;
    while (std::getline(std::cin, path)) read_file(path);
}
